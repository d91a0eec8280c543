"""What the end-to-end equaliser makes of tasks beyond its paper's."""

from __future__ import annotations

from card_pages import Card, Results, number, table
from card_pages.equalisation import KEYS, WHERE, pictures, responses

BEYOND = {
    "any": "four filters of random gain, frequency and Q",
    "noise": "the shelf, on noise",
    "guitar": "the shelf, on plucked strings",
    "voice": "the shelf, on a made singing voice",
    "distortion": "distortion, on piano",
    "compressor": "compressor, on piano",
}
SHOWN = {
    "noise-response": "Response of noise",
    "guitar-response": "Response of guitar",
    "voice-response": "Response of voice",
    "any-settings": "One network at sixteen held-out settings; titles give the filter, gain, frequency and Q",
    "distortion-note": "Input, target and output, distortion",
    "compressor-note": "Input, target and output, compressor",
}


def page(results: Results) -> list[str]:
    """Losses and responses of each task."""
    beyond = [f"beyond-equalisation-{name}" for name in BEYOND if results.metrics(f"beyond-equalisation-{name}")]
    parts: list[str] = []
    if beyond:
        rows = [
            (
                run.rpartition("-")[2],
                BEYOND[run.rpartition("-")[2]],
                *(number(results.metrics(run)["losses"][key]) for key in KEYS),
                number(results.metrics(run)["identity"]["loss"]),
                results.course(run),
            )
            for run in beyond
        ]
        head = ("run", "what", "KL", "MSE", "MAE", "sum", "input as it is", "training, one core")
        parts += [
            table("The same network on other tasks, held-out sounds", head, rows),
            responses(results, beyond, f"Learned response, {WHERE}"),
            *(
                f"![{title}](eq-{picture}.png)"
                for picture, title in SHOWN.items()
                if f"beyond-equalisation-{picture.partition('-')[0]}" in beyond
            ),
        ]
    return parts


CARD = Card(
    title="Beyond equalisation",
    recipes=("beyond-equalisation",),
    page=page,
    pictures=pictures("beyond-equalisation", BEYOND, ("distortion", "compressor", "any")),
)
