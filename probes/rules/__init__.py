"""The rules that turn what was seen into findings: one file a question, each a pure function from View to findings."""
