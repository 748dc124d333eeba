"""The database of a site: events, reports, what each sink still has to receive, media, gaps, reviews and cameras."""
