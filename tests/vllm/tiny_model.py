"""Make a model of random weights that a real engine can serve: `python tiny_model.py DIR`, in vLLM's environment.

What it writes makes no sense. It is just large enough that a token takes some milliseconds, so that a test can act in
the middle of an answer. The tokenizer is trained on the sources of Python's standard library, which every machine has.
"""

import os
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CONTEXT = 4096
VOCABULARY = 2048
BEGIN, END, TURN = "<begin>", "<end>", "<turn>"
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}<turn>{{ message['role'] }}: {{ message['content'] }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant: {% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BEGIN, END, TURN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train([str(source) for source in sorted(Path(os.__file__).parent.glob("[a-d]*.py"))], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=END,
        model_max_length=CONTEXT,
        chat_template=CHAT_TEMPLATE,
    )


def model(words: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=384,
            intermediate_size=1024,
            num_hidden_layers=8,
            num_attention_heads=6,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


def main() -> None:
    folder = Path(sys.argv[1])
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    words = tokenizer()
    words.save_pretrained(unfinished)
    model(words).save_pretrained(unfinished)
    unfinished.rename(folder)


if __name__ == "__main__":
    main()
