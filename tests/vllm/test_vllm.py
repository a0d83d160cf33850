"""vLLM on a CPU serves checkpoints made of the nano, and answers as they do.

Run in an environment of its own by ``make test-vllm``; not part of the default suite.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import checkpoints
import httpx
import openai
import pytest
from serving_process import serving as served_by_us
from vllm.renderers.hf import _detect_content_format
from vllm_process import serving

from minigemini.checkpoints.chat_template import TEMPLATES, read_template, standalone
from minigemini.checkpoints.load import load_processor
from minigemini.cli import main
from minigemini.serving.asked_server import AskedServer, in_openai_form
from minigemini.tabletop.benchmark import QUESTION_KINDS
from minigemini.tabletop.mixed_questions import mixed_questions

ROUND = 96  # questions, each with a picture that no server has seen
CLIENTS = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("vllm")


@pytest.fixture(scope="module")
def widened(folder):
    return checkpoints.write_nano(folder / "widened" / "nano")


@pytest.fixture(scope="module")
def released(folder, widened):
    """As the released ones are: HD, the image token behind the vocabulary, Vicuna's template, a tokenizer that writes ``<s>``."""
    behind = checkpoints.write_behind(widened, folder / "behind" / "nano")
    return checkpoints.write_hd(behind, folder / "hd" / "nano", template="v1")


@pytest.fixture(scope="module")
def address(folder, widened):
    with serving(widened, folder / "float32.log") as address:
        yield address


def test_float32_answers_as_the_shipped_nano(address, capsys):
    assert main(["verify-serving", address]) == 0
    assert "all 77 are the same" in capsys.readouterr().out


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_answers_as_the_shipped_nano_in_float32(folder, widened, dtype, capsys):
    with serving(widened, folder / f"{dtype}.log", dtype) as address:
        code = main(["verify-serving", address])
    out = capsys.readouterr().out
    assert code == 0, out


def test_hd_with_the_token_behind_the_vocabulary(folder, released, capsys):
    with serving(released, folder / "hd.log") as address:
        code = main(["verify-serving", address, "--model", str(released)])
        typed_words_are_refused(address)
    out = capsys.readouterr().out
    assert code == 0, out


def test_a_mixture_of_experts(folder, capsys):
    mixtral = checkpoints.write_mixtral(folder / "mixtral" / "nano")
    with serving(mixtral, folder / "mixtral.log") as address:
        code = main(["verify-serving", address, "--model", str(mixtral)])
    out = capsys.readouterr().out
    assert code == 0, out


def test_other_weights_are_found_out(address, capsys):
    """Else the tests above would prove nothing."""
    assert main(["verify-serving", address, "--model", "nano-low-res", "--served-as", "nano"]) == 1
    assert "of 77 differ" in capsys.readouterr().out


def test_typed_image_tokens_are_refused_and_shift_no_picture(address):
    typed_words_are_refused(address)


def typed_words_are_refused(address):
    (question,) = mixed_questions(1)["tag"]
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)

    def ask(messages):
        return client.chat.completions.create(model="nano", messages=messages, temperature=0, max_tokens=8)

    good = in_openai_form(question)
    answer = ask(good).choices[0].message.content
    picture, text = good[0]["content"]
    typed = {"type": "text", "text": "what is <image> here?"}
    for content in ("what is <image> here?", [typed], [typed, picture], [picture, typed], [picture, picture, typed]):
        with pytest.raises(openai.BadRequestError, match="stands for a picture"):
            ask([{"role": "user", "content": content}])
    with pytest.raises(openai.BadRequestError, match="stands for a picture"):
        ask([*good, {"role": "assistant", "content": "<image>"}, {"role": "user", "content": [picture, text]}])
    # A raw prompt is its writer's own, and no picture comes with it: it may not end the server.
    raw = {"model": "nano", "prompt": "what is <image> here?", "max_tokens": 4}
    assert httpx.post(f"{address}/v1/completions", json=raw, timeout=60).status_code == 200
    assert ask(good).choices[0].message.content == answer


@pytest.mark.parametrize("name", [*sorted(file.stem for file in TEMPLATES.glob("*.jinja")), "nano"])
def test_vllm_sees_that_the_templates_take_parts(name):
    """Else it would write the pictures into the text itself, without the numbers of several."""
    processor = load_processor("nano")
    template = processor.chat_template
    if name != "nano":
        template = standalone(read_template(name), processor.tokenizer, "<image>")
    assert _detect_content_format(template, default="string") == "openai"


def test_throughput(address, folder, widened, capsys):
    """Prints requests a second of both, on the same cores as the client; how fast is no matter of passing."""
    with served_by_us("-m", "minigemini", "serve", str(widened), "--port", "0") as ours:
        rates = {"minigemini serve": rate(ours.address), "vLLM": rate(address)}
    with capsys.disabled():
        print(f"\n{CLIENTS} clients, {ROUND} questions, each with a picture of its own, float32, one thread:")
        for name, requests in rates.items():
            print(f"  {name:18} {requests:6.1f} requests/s")


def rate(address: str) -> float:
    """Requests a second, after a round that is not counted."""
    with AskedServer(address, "nano") as server, ThreadPoolExecutor(CLIENTS) as threads:
        for seed in (1, 2):
            questions = [
                one for kind in QUESTION_KINDS for one in mixed_questions(ROUND // len(QUESTION_KINDS), seed)[kind]
            ]
            begun = time.monotonic()
            replies = list(threads.map(lambda one: server.ask(one, 16), questions))
            seconds = time.monotonic() - begun
            assert len(replies) == ROUND
            assert all(reply.text for reply in replies)
    return ROUND / seconds
