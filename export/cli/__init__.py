"""Commands of the top floor. Those of training get their exporter here."""
