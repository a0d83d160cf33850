"""The model in other people's evaluation tools: lmms-eval by an entry point, VLMEvalKit by ``minigemini eval vlmevalkit``.

Nothing here is imported by the rest of the package, and the tools are needed only when they run it.
"""
