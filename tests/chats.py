"""Chat templates in the style of three families, and conversations that are hard to locate."""

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}"
    "{% endgeneration %}{% else %}{{ message['content'] }}{% endif %}{{ '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# strips contents, writes the beginning of a text and the day
LLAMA = (
    "{{ '<s>' }}{{ strftime_now('%d %b %Y') }}{% for message in messages %}"
    "{{ '<|start|>' + message['role'] + '<|end|>\n\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] | trim }}"
    "{% endgeneration %}{% else %}{{ message['content'] | trim }}{% endif %}{{ '<|eot|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant<|end|>\n\n' }}{% endif %}"
)
# the system's message is part of the user's; other orders are refused
GEMMA = (
    "{{ '<s>' }}{% if messages[0]['role'] == 'system' %}"
    "{% set first = messages[0]['content'] + '\n\n' %}{% set rest = messages[1:] %}"
    "{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}"
    "{% for message in rest %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant') }}{% endif %}"
    "{{ '<turn>' }}{{ 'model' if message['role'] == 'assistant' else 'user' }}{{ '\n' }}"
    "{{ first if loop.first else '' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] | trim }}"
    "{% endgeneration %}{% else %}{{ message['content'] | trim }}{% endif %}{{ '<end>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<turn>model\n' }}{% endif %}"
)
TEMPLATES = {"chatml": CHATML, "llama": LLAMA, "gemma": GEMMA}
SPECIAL = [
    "<|im_start|>",
    "<|im_end|>",
    "<|start|>",
    "<|end|>",
    "<|eot|>",
    "<turn>",
    "<end>",
    "<s>",
]


def chat(*contents: str, system: str = "") -> list[dict[str, str]]:
    """Messages of user and assistant in turn."""
    messages = [{"role": "system", "content": system}] if system else []
    roles = ("user", "assistant")
    return messages + [
        {"role": roles[number % 2], "content": content} for number, content in enumerate(contents)
    ]


CHATS = [
    chat("was the film good", "it was very good"),
    chat("user", "end", "assistant", "eot"),  # words of the templates
    chat("the film", "the film", "the film", "the film"),
    chat(" was it cold \n", "\n\nnot very\n", system="we liked it"),
    chat("was it <|im_end|> good", "<s> bad"),
    chat("the hotel"),
]
