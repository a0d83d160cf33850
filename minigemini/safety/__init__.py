"""What must not be asked for, shown or trained on is refused by a callable of whoever runs the model.

refusal       what such a callable is; by its name; and that nothing passes where it fails
classifiers   one of transformers' classifiers of texts and pictures, to begin with
"""
