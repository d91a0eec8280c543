"""Banks and voices of Yamaha's DX7: `.syx` files with a dump of 32 voices or of one, system exclusive messages; `.dx7`
files with the packed voices alone.

The packed form of a bank holds a voice in 128 bytes, several small numbers in one byte; the unpacked form, which a
single voice is sent in, holds its 155 numbers in a byte each. Parameters are named as on the instrument: op6_rate_1 ...
op1_detune, algorithm, feedback and so on. Values that are out of range are clipped, as the instrument does.
"""

from __future__ import annotations

from timbre_data.pipeline.catalogue.preset_format import PresetError, PresetFormat, StoredPreset

VOICES, PACKED, UNPACKED = 32, 128, 155
BANK_HEAD, VOICE_HEAD = (0x43, 0x09, 0x20, 0x00), (0x43, 0x00, 0x01, 0x1B)
"""Manufacturer, format and length of both dumps; between the first two stands the channel."""
OPERATOR = (
    *((f"rate_{k}", 99) for k in range(1, 5)),
    *((f"level_{k}", 99) for k in range(1, 5)),
    ("break_point", 99),
    ("left_depth", 99),
    ("right_depth", 99),
    ("left_curve", 3),
    ("right_curve", 3),
    ("rate_scaling", 7),
    ("amplitude_sensitivity", 3),
    ("velocity_sensitivity", 7),
    ("output_level", 99),
    ("mode", 1),
    ("coarse", 31),
    ("fine", 99),
    ("detune", 14),
)
"""Names and highest values of an operator's numbers, in the order of the unpacked form."""
VOICE = (
    *((f"op{number}_{name}", most) for number in range(6, 0, -1) for name, most in OPERATOR),
    *((f"pitch_rate_{k}", 99) for k in range(1, 5)),
    *((f"pitch_level_{k}", 99) for k in range(1, 5)),
    ("algorithm", 31),
    ("feedback", 7),
    ("oscillator_sync", 1),
    ("lfo_speed", 99),
    ("lfo_delay", 99),
    ("lfo_pitch_depth", 99),
    ("lfo_amplitude_depth", 99),
    ("lfo_sync", 1),
    ("lfo_wave", 5),
    ("pitch_sensitivity", 7),
    ("transpose", 48),
)
"""The numbers of a voice, without its name, which is ten characters more."""


def _read(content: bytes) -> list[StoredPreset]:
    data = content
    if content[:1] == b"\xf0":
        head, data = (content[1], *content[3:6]) if len(content) > 6 else (), content[6:]
        if head == VOICE_HEAD and len(content) == UNPACKED + 8:
            return [_voice(_checked(data)[:UNPACKED])]
        if head != BANK_HEAD or len(content) != VOICES * PACKED + 8:
            raise PresetError("it is not a dump of DX7 voices")
        data = _checked(data)
    count = len(data) // PACKED
    if count < VOICES or len(data) % PACKED or max(data) > 127 or not any(data):
        raise PresetError("it is not a bank of DX7 voices")
    return [_voice(_unpacked(data[k * PACKED : (k + 1) * PACKED])) for k in range(count)]


def _checked(data: bytes) -> bytes:
    """The content of a dump without its end. Raises `PresetError` where its checksum is wrong."""
    body, checksum, end = data[:-2], data[-2], data[-1]
    if end != 0xF7 or checksum != _checksum(body) or max(body) > 127:
        raise PresetError("its checksum is wrong: it is damaged")
    return body


def _checksum(body: bytes) -> int:
    return -sum(body) & 127


def _unpacked(packed: bytes) -> bytes:
    out = bytearray()
    for k in range(6):
        op = packed[17 * k : 17 * (k + 1)]
        out += op[:11]
        out += bytes((op[11] & 3, op[11] >> 2 & 3, op[12] & 7, op[13] & 3, op[13] >> 2 & 7, op[14]))
        out += bytes((op[15] & 1, op[15] >> 1 & 31, op[16], op[12] >> 3 & 15))
    out += packed[102:110]
    out += bytes((packed[110] & 31, packed[111] & 7, packed[111] >> 3 & 1))
    out += packed[112:116]
    out += bytes((packed[116] & 1, packed[116] >> 1 & 7, packed[116] >> 4 & 7))
    return bytes(out) + packed[117:128]


def _voice(data: bytes) -> StoredPreset:
    numbers = [min(value, most) for value, (_, most) in zip(data, VOICE, strict=False)]
    name = bytes(byte for byte in data[145:] if 32 <= byte < 127).decode().strip()
    body = bytes(numbers) + data[145:]
    message = bytes((0xF0, 0x43, 0, *VOICE_HEAD[1:])) + body + bytes((_checksum(body), 0xF7))
    return StoredPreset(name, {key: float(value) for (key, _), value in zip(VOICE, numbers, strict=True)}, message)


BANK = PresetFormat(
    summary="Voices of the DX7: dumps of 32 or of one, or packed.", suffixes=(".syx", ".dx7"), read=_read
)
