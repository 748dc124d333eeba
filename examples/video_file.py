"""Find the actions in a video file.

    pip install 'punctum[cpu,video]'
    python video_file.py CLIP.mp4 [BUNDLE]

Prints one line per action: start and end in seconds, class, confidence. Without BUNDLE it uses the bundle that ships
with punctum, which knows ten motions of drawn shapes (`punctum data make-videos` makes such clips).
"""

import sys

from punctum.runtime import Bundle, Localizer
from punctum.runtime.sources import open_source

MIN_SCORE = 0.2  # every candidate is reported, down to very low scores


def main(clip: str, bundle_path: str = "default") -> None:
    bundle = Bundle.load(bundle_path)  # verifies the SHA-256 of every file
    localizer = Localizer(bundle)
    for event in localizer.stream(open_source(clip, bundle=bundle)):
        if event.score >= MIN_SCORE:
            print(f"{event.start:7.2f} - {event.end:7.2f} s  {event.label:8}  {event.score:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
