"""``minigemini serve`` and ``minigemini verify-serving``. What they do is imported when they run."""

import argparse
from pathlib import Path

SAFETY = "a callable that refuses what is said, shown and drawn, such as minigemini.safety.classifiers:refuse (default: nothing is refused)"


def add_serve(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "serve",
        help="answer OpenAI's API over HTTP, with pictures in and out",
        description="Answer OpenAI's API (/v1/chat/completions, /v1/models) until it is interrupted; many requests are decoded together.",
    )
    parser.add_argument("model", nargs="?", default="nano", help="checkpoint folder, hub id or nano (default)")
    parser.add_argument(
        "--generator",
        help="image generator: folder, hub id or nano (default: nano for the nano, else none: no pictures)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0: a free one (default: %(default)s)")
    parser.add_argument("--api-key-file", type=Path, help="keys that open it, one a line (default: open to all)")
    parser.add_argument(
        "--picture-host",
        metavar="HOST",
        action="append",
        default=[],
        help="fetch pictures by URL from this host, if its address is a public one; may be repeated (default: none is fetched)",
    )
    parser.add_argument("--safety", metavar="MODULE:NAME", help=SAFETY)
    parser.set_defaults(run=run_serve)


def run_serve(parsed: argparse.Namespace) -> int:
    try:
        from minigemini.serving.http.run import serve
    except ModuleNotFoundError as error:
        raise ValueError(f"serving needs {error.name}: pip install 'minigemini[serve]'") from None
    from minigemini.serving.http.options import ServeOptions

    options = ServeOptions(
        parsed.model,
        parsed.generator,
        parsed.host,
        parsed.port,
        parsed.api_key_file,
        parsed.picture_host,
        parsed.safety,
    )
    return serve(options)


def add_verify_serving(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "verify-serving",
        help="does a running server answer as the checkpoint does?",
        description="Ask a running server of OpenAI's API (minigemini serve, vLLM, transformers serve) questions with and without "
        "pictures, greedily, and compare with the checkpoint's own answers. Prints each difference; exit code 1 if there is one.",
    )
    parser.add_argument("url", metavar="URL", help="such as http://localhost:8000/v1; its key: OPENAI_API_KEY")
    parser.add_argument("--model", default="nano", help="the checkpoint: folder, hub id or nano (default)")
    parser.add_argument(
        "--served-as", metavar="NAME", help="the server's name for it (default: the one that ends as --model does)"
    )
    parser.add_argument(
        "--max-new-tokens", type=int, default=32, help="most tokens of an answer (default: %(default)s)"
    )
    parser.set_defaults(run=run_verify_serving)


def run_verify_serving(parsed: argparse.Namespace) -> int:
    """Exit code 1 if an answer differs."""
    from minigemini.serving.verify_serving import verify_serving
    from minigemini.tabletop.mixed_questions import mixed_questions

    return verify_serving(parsed.url, parsed.model, mixed_questions(), parsed.served_as, parsed.max_new_tokens)
