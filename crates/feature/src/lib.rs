//! Flows in; rows of a feature matrix out, under a named and versioned schema.
