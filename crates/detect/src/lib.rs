//! Observations and feature rows in; detections out.
