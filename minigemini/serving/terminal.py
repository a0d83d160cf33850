"""``minigemini chat``: a conversation in the terminal."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from PIL.Image import Image
from rich.console import Console

from minigemini.engine.request import Draw
from minigemini.media import open_image
from minigemini.progress import progress_bar
from minigemini.serving.chat_session import ChatSession
from minigemini.serving.drawing_files import check_attention_file, write_attention, write_drawing
from minigemini.serving.events import (
    Done,
    Event,
    ImageDrawn,
    ImageFailed,
    ImageProgress,
    ImageStarted,
    Notice,
    TextDelta,
)
from minigemini.serving.load_session import load_session
from minigemini.serving.one_shot import answer_once
from minigemini.serving.options import ChatOptions
from minigemini.serving.save_conversation import save_conversation

HELP = """\
/image FILE    show a picture with your next message
/draw [TEXT]   ask for a picture of TEXT, or of what you say next
/undo          take back your last message and its answer
/retry         answer it again; pictures get another seed
/branch [N]    go on in a copy of the conversation, or in branch N
/system [TEXT] tell the model something before everything else, or nothing
/reset         begin a new conversation
/save [DIR]    write the conversation with all its branches as a web page and JSON, with its pictures
/help          this
Ctrl-C stops an answer, Ctrl-D leaves."""
COMMANDS = ("/image", "/draw", "/undo", "/retry", "/branch", "/system", "/reset", "/save", "/help")


def run(options: ChatOptions) -> int:
    """Talk to a model: in the terminal, line by line from a pipe, or once with a prompt (:func:`answer_once`).

    Returns:
        Exit code.

    Raises:
        ValueError: the model, the generator or a picture cannot be loaded, ``as_json`` without ``prompt``, or a file for the
            attention that is no PNG.
    """
    if options.prompt is not None:
        return answer_once(options)
    if options.as_json:
        raise ValueError("JSON is for one answer: give a prompt with it")
    if options.show_attention is not None:
        check_attention_file(options.show_attention)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    chat = TerminalChat(load_session(options), console, options.draw, Path(options.out), options.show_attention)
    for image in options.images:
        chat.show(str(image))
    console.print(f"{options.model} on {chat.session.engine.model.device.type}. Say something, or /help.", style="dim")
    if options.draw is not False and options.generator_name is None:
        console.print("It cannot draw: no image generator was named (--generator).", style="dim")
    for line in _lines(console):
        chat.take(line)
    return 0


class TerminalChat:
    """Takes one line of the user after another and prints what comes of it."""

    def __init__(
        self, session: ChatSession, console: Console, draw: Draw, out: Path, show_attention: str | Path | None = None
    ) -> None:
        self.session = session
        self.console = console
        self.draw = draw
        self.out = out
        self.show_attention = show_attention
        self.shown: list[Image] = []  # with the next message
        self.draw_next = False

    def take(self, line: str) -> None:
        """A command or a message. What the user can mend is printed, and the conversation goes on."""
        line = line.strip()
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        try:
            if word == "/image":
                self.show(rest)
            elif word == "/draw" and not rest:
                self.draw_next = True
                self.tell("What shall I draw?")
            elif word == "/draw":
                self.answer(rest, True)
            elif word == "/undo":
                asked, _ = self.session.undo()
                self.tell(f"taken back: {asked.message.text}")
            elif word == "/retry":
                self.print_reply(self.session.retry(self.draw))
            elif word == "/branch":
                self.branch(rest)
            elif word == "/system":
                self.session.set_system(rest)
                self.tell("The model is told so from now on." if rest else "The model is told nothing.")
            elif word == "/reset":
                self.session.reset()
                self.shown, self.draw_next = [], False
                self.tell("A new conversation.")
            elif word == "/save":
                self.save(rest)
            elif word == "/help":
                self.tell(HELP)
            elif word.startswith("/"):
                self.tell(f"There is no command {word}; /help lists them.")
            elif line:
                self.answer(line, True if self.draw_next else self.draw)
        except (ValueError, OSError) as error:  # OSError: nothing can be written there, or the disk is full
            self.console.print(f"! {printable(str(error))}", style="red")

    def tell(self, text: str) -> None:
        self.console.print(printable(text), style="dim")

    def show(self, file: str) -> None:
        if not file:
            raise ValueError("which picture? /image FILE")
        picture = open_image(Path(file.strip("'\"")).expanduser())
        self.shown.append(picture)
        self.tell(f"{file}: {picture.width}x{picture.height}, goes with your next message")

    def branch(self, number: str) -> None:
        if number and not number.isdecimal():
            raise ValueError(f"which branch? a number, not {number}")
        if number:
            self.session.switch(int(number))
        self.tell(f"branch {number or self.session.branch()}")

    def save(self, folder: str) -> None:
        if all(turn.message.role == "system" for turn in self.session.conversation.turns):
            raise ValueError("nothing was said yet")
        free = (Path(f"conversation-{n}") for n in count(1))
        path = Path(folder).expanduser() if folder else next(path for path in free if not path.exists())
        self.tell(f"saved: {save_conversation(self.session, path) / 'conversation.html'}")

    def answer(self, text: str, draw: Draw) -> None:
        """Say something and print the reply as it comes; Ctrl-C stops it.

        Pictures go with one message, refused or not: if it was they that made it too long, the next one would fail too.
        """
        pictures, self.shown, self.draw_next = self.shown, [], False
        try:
            events = self.session.reply(text, pictures, draw)
        except ValueError as error:
            if pictures:
                raise ValueError(f"{error}. Its pictures are put away; show them again") from error
            raise
        self.print_reply(events)

    def print_reply(self, events: Iterator[Event]) -> None:
        """Print events as they come, and where the answer looked if that was asked for."""
        before = self.session.conversation.turns[-1:]
        at_line_start = True
        bar = progress_bar(self.console.is_terminal, console=self.console, transient=True)
        task = bar.add_task("drawing", total=None)
        with _interrupt_stops(self.session):
            for event in events:
                if not isinstance(event, TextDelta) and not at_line_start:
                    self.console.print()
                    at_line_start = True
                if isinstance(event, TextDelta):
                    words = printable(event.text.lstrip() if at_line_start else event.text)
                    self.console.print(words, end="")
                    at_line_start = at_line_start and not words
                elif isinstance(event, ImageStarted):
                    self.tell(f"drawing: {event.prompt}")
                    bar.reset(task)
                    bar.start()
                elif isinstance(event, ImageProgress):
                    bar.update(task, completed=event.step, total=event.steps)
                elif isinstance(event, ImageDrawn):
                    bar.stop()
                    file = write_drawing(event.image, event.record, self.out)
                    size = f"{event.image.width}x{event.image.height}"
                    self.console.print(f"[{file}]", style="green", end="")
                    self.tell(f" {size}, seed {event.record.seed}")
                elif isinstance(event, ImageFailed):
                    bar.stop()
                    self.tell(f"(not drawn: {event.reason})")
                elif isinstance(event, Notice):
                    self.tell(f"({event.text})")
                elif isinstance(event, Done) and event.finish_reason == "cancelled":
                    self.tell("(stopped)")
        if self.show_attention is not None and self.session.conversation.turns[-1:] != before:
            self.draw_attention(self.show_attention)

    def draw_attention(self, file: str | Path) -> None:
        """Write where the last answer looked, if there was a picture to look at."""
        if not self.session.has_pictures:
            self.tell("(no picture was shown yet, so there is no attention to show)")
            return
        write_attention(self.session.attention_picture(), file)
        self.tell(f"where it looked: {file}")


def printable(text: str) -> str:
    """Without control characters: what a model or a file writes must not steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


@contextmanager
def _interrupt_stops(session: ChatSession) -> Iterator[None]:
    """Ctrl-C ends the answer instead of the program."""
    before = signal.signal(signal.SIGINT, lambda *_: session.cancel())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _decoded(line: bytes, console: Console) -> str:
    """A line of a pipe; bytes that are no UTF-8 are replaced, and that is said."""
    text = line.decode("utf-8", "replace")
    if text.encode("utf-8") != line:
        console.print("(bytes that are no UTF-8 were replaced)", style="dim")
    return text


def _lines(console: Console) -> Iterator[str]:
    """What the user types, until Ctrl-D; or the lines of a pipe."""
    if not sys.stdin.isatty():
        for line in sys.stdin.buffer:
            yield _decoded(line, console)
        return
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import NestedCompleter, PathCompleter

    completer = NestedCompleter.from_nested_dict(
        {command: PathCompleter(expanduser=True) if command == "/image" else None for command in COMMANDS}
    )
    typed: PromptSession[str] = PromptSession("> ", completer=completer, complete_while_typing=False)
    while True:
        try:
            yield typed.prompt()
        except KeyboardInterrupt:
            console.print("Ctrl-D leaves.", style="dim")
        except EOFError:
            return
