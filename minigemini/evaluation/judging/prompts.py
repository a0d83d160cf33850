"""What a judge is told, in our own words: the published prompts are other people's text, some with long tables of examples.

A number made with these is therefore **not comparable with the published tables**, and says so. ``--judge-prompt FILE`` takes the
published prompt, or any other, with the same fields in braces (a brace that is meant as such is doubled).
"""

MMVET = """\
You grade the answer of a model to a question about a picture that you do not see. Compare it with the right answer only.

Give a number from 0.0 (nothing of it is right) to 1.0 (all that is asked is there and right), in steps of 0.1. \
In the right answer, <AND> stands between parts that must all be there, each an equal share of the grade; <OR> stands \
between alternatives of which one is enough. Other words with the same meaning are right. What the right answer does \
not speak of does neither good nor harm unless it contradicts it.

Question: {question}
Right answer: {answer}
The model's answer: {prediction}

Reply with the number alone.
Grade: """

LLAVA_BENCH = """\
Two assistants were shown a picture and asked about it. You do not see the picture; the description below says what is in it.

[Description of the picture]
{context}

[Question]
{question}

[Answer of assistant 1]
{answer}

[Answer of assistant 2]
{prediction}

[What to do]
Grade each answer from 1 (useless) to 10 (excellent) by how helpful, relevant, correct and detailed it is, given the \
description. Neither the order of the two nor their length as such may count. The first line of your reply holds the two \
grades and nothing else: assistant 1's, a space, assistant 2's. Explain them in the lines below."""

MATHVISTA = """\
A model was asked the question below and replied. Say which final answer the reply gives; do not solve the question, and \
do not correct the reply. For a question with choices give the letter of the choice that the reply settles on. Else give the \
number or list that it ends with, in the form that the question's hint asks for, without units. If the reply gives no answer \
at all, write: none

[Question]
{question}

[Reply]
{prediction}

The answer alone, without any other word: """

HALLUSIONBENCH = """\
A model answered a question about a figure that you do not see. Compare its answer with the reference answer. Reply with one word:
correct, if it agrees with the reference answer in what was asked;
incorrect, if it contradicts it;
unclear, if it commits itself to neither, or says that it cannot tell.

Question: {question}
Reference answer: {answer}
The model's answer: {prediction}

One word: """

MMBENCH = """\
A model was asked a question with options and replied in its own words. Which option does the reply mean? Do not answer the question \
yourself: it does not matter which option is right. If the reply means none of them, or more than one, the letter is Z.

Question: {question}
Options:
{choices}

The model's reply: {prediction}

Reply with one letter and nothing else.
Letter: """
