//! Detections in; alerts out: merged, ranked, explained, mapped to techniques.
