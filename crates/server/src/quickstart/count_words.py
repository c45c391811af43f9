"""The quickstart's pipeline. It is yours: change it, and within ten seconds the node runs the new code.

Classes below are found by their name. A batch is a dict of lists; the keys that `process` returns are put into it.
"""

from lavandin import Preprocessor


class CountWords(Preprocessor):
    name = "count_words"

    def process(self, batch, *, lower: bool = True):
        texts = [text.lower() if lower else text for text in batch["text"]]
        return {"text": texts, "words": [len(text.split()) for text in texts]}
