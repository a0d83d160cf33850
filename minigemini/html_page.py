"""A page that needs nothing else: no scripts, no fonts, no network; it says so to the browser too."""

from html import escape


def make_page(title: str, style: str, header: str, body: str) -> str:
    """
    Args:
        title: plain text; the others are CSS and HTML as they are.
    """
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{header}
</header>
<main>
{body}
</main>
</body>
</html>
"""
