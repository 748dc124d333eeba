"""The process of one bundle: sessions of all its cameras on one engine, with a journal so that it can be killed."""
