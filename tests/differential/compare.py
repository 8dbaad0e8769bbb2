"""When two answers are equal."""

LONG = 400  # a text of an error may be cut from here on


def same_text(ours, theirs):
    """Where the reference has no text, ours may have words of its own; before a trap's words stands the guest's text."""
    whole = ours.removesuffix(b"...")
    said_none = theirs == b"" and ours.endswith(b"gave no error text")
    return ours == theirs or said_none or len(whole) > LONG and theirs.startswith(whole)


FAILS_AS = {  # how ours fails where the reference does; the guest's own text may have come with a trap
    "code": ("guest",),
    "silent": ("guest",),
    "exit": ("trap",),
    "guest": ("guest", "trap"),
    "refused": ("guest", "memory", "trap"),
}


def difference(ours, theirs, logs=True):
    """What differs, as a text, or None. `theirs` is the reference's."""
    if ours.kind not in FAILS_AS.get(theirs.kind, (theirs.kind,)):
        return f"{theirs} there, {ours} here"
    if ours.kind == "ok" and ours.data != theirs.data:
        return f"answers {theirs} there, {ours} here"
    if theirs.kind == "guest":
        text = ours.data if ours.kind == "guest" else ours.data[: len(theirs.data)]
        if ours.kind == "trap" and not theirs.data or not same_text(text, theirs.data):
            return f"text {theirs} there, {ours} here"
    if logs and ours.logs != theirs.logs:
        return f"logs {theirs.logs} there, {ours.logs} here"
    return None
