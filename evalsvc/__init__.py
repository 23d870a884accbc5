"""evalsvc: is the fine-tuned model really better than what you run today, and may it ship?"""

__version__ = "0.1.0"
