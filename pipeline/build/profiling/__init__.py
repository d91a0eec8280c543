"""Making and checking synth profiles: what each knob of a running program does to its sound."""
