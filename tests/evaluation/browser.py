"""A page in a real browser, with clicks: a script is added to a copy of it, and what it returns comes back."""

import base64
import hashlib
import json
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def with_script(page: str, body: str) -> str:
    """``page`` with one more script, allowed by its content security policy: an async function's ``body`` that returns JSON."""
    script = f"""
(async () => {{
  const result = document.createElement("pre");
  result.id = "result";
  const later = () => new Promise(done => setTimeout(done, 200));
  const click = id => document.getElementById(id).click();
  const value = (id, to) => {{
    const element = document.getElementById(id);
    element.value = to;
    element.dispatchEvent(new Event("input"));
    element.dispatchEvent(new Event("change"));
  }};
  const shown = () => parseInt(document.getElementById("shown").textContent);
  const ids = () => [...document.querySelectorAll("article .head span:nth-of-type(2)")].map(span => span.textContent);
  let found;
  try {{ found = await (async () => {{ {body} }})(); }} catch (error) {{ found = {{error: String(error)}}; }}
  result.textContent = JSON.stringify(found);
  document.body.append(result);
}})();
"""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "script-src '" in page
    page = page.replace("script-src '", f"script-src 'sha256-{digest}' '", 1)
    return page.replace("</body>", f"<script>{script}</script>\n</body>")


def run(page: Path, body: str, *options: str) -> Any:
    """What ``body`` returns on the page."""
    copy = page.with_name(f"{page.stem}-driven.html")
    copy.write_text(with_script(page.read_text("utf-8"), body), encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", *options]
    profile = f"--user-data-dir={page.parent / 'chromium'}"
    done = subprocess.run(
        [*command, profile, "--dump-dom", copy.as_uri()], capture_output=True, timeout=120, check=True
    )
    dom = done.stdout.decode()
    assert '<pre id="result">' in dom, done.stderr.decode()[-2000:]
    return json.loads(unescape(dom.partition('<pre id="result">')[2].partition("</pre>")[0]))
