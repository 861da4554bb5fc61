"""The icon of the project's pages, as an address that needs no request."""

from urllib.parse import quote

# A customer base, one part of which leaves. An icon knows none of the page's colours.
DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="7" fill="#0b62a8"/>'
    '<path d="M15 17V6a11 11 0 1 0 11 11z" fill="#fff"/>'
    '<path d="M19 13V3a10 10 0 0 1 10 10z" fill="#ffa15c"/></svg>'
)
ICON = f"data:image/svg+xml,{quote(DRAWING, safe='')}"
