//! Who may do what: accounts, sessions, tokens, and how often one may try.
