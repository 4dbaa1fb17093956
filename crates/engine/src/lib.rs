//! Wires the stages: threads, queues, coverage, evidence.
