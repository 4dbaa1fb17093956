//! Matrices in; models, scores, calibration, metrics out; knows numbers, not networks.
