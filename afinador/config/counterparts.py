"""What keys that people know from other tools are called here."""

from __future__ import annotations

_SCHEDULE = (
    "A job has no schedule of its own: save its request with 'afinador create job-spec NAME FILE', and give that spec a time "
    "in Prefect; see docs/schedules.md."
)

COUNTERPARTS = {
    "gradient_accumulation_steps": "Give batch_size and micro_batch_size: it is how often the second goes into the first.",
    "per_device_train_batch_size": "Here batch_size is how many examples a step takes, and micro_batch_size how many a pass.",
    "num_train_epochs": "Here it is epochs.",
    "max_seq_length": "Here it is max_length.",
    "lora_r": "Here it is lora_rank.",
    "r": "Here it is lora_rank.",
    "bias": "Here it is lora_bias.",
    "bf16": "Here it is precision: bfloat16.",
    "fp16": "Here it is precision, one of auto, float32 and bfloat16.",
    "optim": "Here it is optimizer.",
    "lr_scheduler_type": "Here it is lr_scheduler.",
    "load_in_4bit": "Here it is tuning_method: qlora, with quantization_bits: 4.",
    "load_in_8bit": "Here it is tuning_method: qlora, with quantization_bits: 8.",
    "schedule": _SCHEDULE,
    "cron": _SCHEDULE,
}
