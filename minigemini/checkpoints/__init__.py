"""Whole checkpoints: a name -> model and processor (`load`), trained parts -> a new model (`assemble`), released MGM checkpoints ->
ours (`convert_mgm`), their pictures' sizes (`resolution`) and chat templates (`chat_template`). What a model is stands in `model`; what lies in folders, and in how many bits it is loaded, stands here."""
