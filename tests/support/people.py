"""People of pools in tests."""

PERSON = {
    "name": "Yann Le Goff", "age": 40, "gender": "man", "pronouns": "he/him",
    "occupation": "fisherman", "education": "vocational", "settlement": "town",
    "place": "Concarneau", "marital_status": "single", "household": "alone",
    "background": "Grew up by the harbour. Has fished since leaving school.",
    "traits": ["dry", "patient"], "culture": "XBZ", "languages": ["fr", "br"],
}  # fmt: skip
