"""From a corpus of chats to adapters: TRL's SFTTrainer with PEFT, resumable, with a card."""
