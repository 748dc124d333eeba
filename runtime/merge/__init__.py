"""Several folders of labeled videos joined into one data set: `punctum data merge`."""
