"""Azure Custom Vision's training and prediction: its SDKs and scripts work unchanged.

project = a dataset and a namespace of aliases · iteration = a job and its model · publish name = an
alias · tag = a label. Ids outside are the UUIDs that ids inside end with.
"""
