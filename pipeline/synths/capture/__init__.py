"""External synth programs and hardware, played over MIDI and recorded."""
