// Blocks of the microphone, as they come, to the page.
"use strict";

class Microphone extends AudioWorkletProcessor {
  process(inputs) {
    if (inputs[0] && inputs[0][0]) this.port.postMessage(inputs[0][0].slice());
    return true;
  }
}
registerProcessor("microphone", Microphone);
