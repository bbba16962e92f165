"""The commands beside a sync; none of them requests an export or writes a Singer message.

Each module has a function `document`, which returns what the command found as a JSON object, and
`text` shows that object to people. A document without `"ok": false` ends with exit status 0.
"""
