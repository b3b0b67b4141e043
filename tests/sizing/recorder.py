"""A listener that remembers."""


class Recorder:
    def __init__(self):
        self.phases, self.seen, self.steps, self.notes = [], [], [], []

    def phase(self, name, rate):
        self.phases.append((name, rate))

    def progress(self, progress):
        self.seen.append(progress)

    def step(self, tried):
        self.steps.append(tried)

    def note(self, text):
        self.notes.append(text)
