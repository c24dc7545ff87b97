"""Evidence folders: one exchange, proven to a stranger with stock tools (protocol clause 20).

`gather` reads the record, `model` says what goes in, `write` makes the folder;
`verify` judges one, at a past moment (clause 21).
"""
