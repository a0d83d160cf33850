"""The model in other people's evaluation tools: lmms-eval by an entry point, VLMEvalKit by ``minigemini eval vlmevalkit``.

lmms_eval_manifest, lmms_eval_model   what lmms-eval finds, and what it drives
vlmevalkit_run, vlmevalkit_model      the same for VLMEvalKit, which knows no plug-ins
tool_requests                         their messages -> the engine's requests

Nothing here is imported by the rest of the package, and the tools are needed only when they run it.
"""
