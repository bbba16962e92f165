"""Elements of HTML and SVG. All text and all values of attributes are escaped when written."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring


def element(tag: str, *children: Element | str | None, **attributes: object) -> Element:
    """Return an element with these children; None is no child, and no attribute.

    In the name of an attribute, `_` stands for `-`, but at its end (`class_`).
    """
    made = Element(
        tag,
        {
            name.rstrip("_").replace("_", "-"): str(value)
            for name, value in attributes.items()
            if value is not None
        },
    )
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif child is not None and last is None:
            made.text = (made.text or "") + child
        elif child is not None and last is not None:
            last.tail = (last.tail or "") + child
    return made


def isolated(text: str, **attributes: object) -> Element:
    """Return a name from a service: isolated from its surroundings, and broken after each `_`."""
    first, *rest = text.split("_")
    parts = [part for word in rest for part in ("_", element("wbr"), word)]
    return element("bdi", first, *parts, **attributes)


def document(root: Element) -> bytes:
    """Return a whole page."""
    text = "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
    # Python 3.10 does not know that this element has no end; in a text the sign is escaped.
    text = text.replace("</wbr>", "")
    # A service may send half of a surrogate pair, which UTF-8 does not have.
    return text.encode("utf-8", errors="replace")
