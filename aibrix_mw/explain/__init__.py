"""What would become of a request, told before it is sent.

question.py   what is asked            told.py      what is told
explainer.py  asks the layers          text.py      the same for people
limits.py     looks at limits          pods.py      looks at pods
"""
