"""What Python's plistlib reads: for every line of base64 a line like canonical in encode_test.go, or "error: ..."."""
import base64, datetime, plistlib, struct, sys


def canonical(v):
    if isinstance(v, dict):
        if not all(isinstance(k, str) for k in v):
            raise ValueError("a key is not a string")
        keys = sorted(v, key=lambda k: k.encode("utf-8"))
        return "{" + ",".join(canonical(k) + ":" + canonical(v[k]) for k in keys) + "}"
    if isinstance(v, list):
        return "[" + ",".join(map(canonical, v)) + "]"
    if isinstance(v, str):
        return "s" + v.encode("utf-8").hex()
    if isinstance(v, bool):
        return str(v).lower()
    if isinstance(v, int):
        return str(v)
    if isinstance(v, float):
        return "nan" if v != v else "f" + struct.pack(">d", v).hex()
    if isinstance(v, datetime.datetime):
        return "%04d" % v.year + v.strftime("-%m-%dT%H:%M:%S.%f")
    if isinstance(v, bytes):
        return "d" + v.hex()
    if isinstance(v, plistlib.UID):
        return "uid%d" % v.data
    raise ValueError("not one of the types: %r" % type(v))


for line in sys.stdin:
    try:
        print(canonical(plistlib.loads(base64.b64decode(line))))
    except RecursionError:
        print("error: recursion")
    except Exception as e:  # plistlib lets whatever its parts raise through
        print("error:", repr(e)[:100].replace("\n", " "))
