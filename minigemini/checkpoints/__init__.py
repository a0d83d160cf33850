"""Whole checkpoints: a name -> model and processor (`load`), trained parts -> a new model (`assemble`), released MGM checkpoints ->
ours (`convert_mgm`), other sizes of pictures (`resolution`), chat templates by name (`chat_template`). What a model is stands in
`model`; what lies in folders, and in how many bits it is loaded, stands here."""
