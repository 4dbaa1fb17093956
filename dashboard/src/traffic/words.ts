// Zeek's connection states, in words.

const STATES: Record<string, string> = {
  S0: "asked, no answer",
  S1: "established, not ended",
  SF: "established and ended in order",
  REJ: "refused",
  S2: "established, ended by the originator only",
  S3: "established, ended by the responder only",
  RSTO: "established, cut off by the originator",
  RSTR: "cut off by the responder",
  RSTOS0: "asked, then cut off by the originator, no answer",
  RSTRH: "answered and cut off, the question was not seen",
  SH: "asked and ended, no answer: half open",
  SHR: "answered and ended, the question was not seen",
  OTH: "no beginning was seen",
};

export function stateWords(state: string): string {
  return STATES[state] ?? state;
}
