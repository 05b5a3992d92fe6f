"""Coverage-guided fuzzing of the three readers of foreign bytes: mails, archives, CDA documents.

    python -m tests.fuzz                    ten minutes each (`make fuzz`)
    python -m tests.fuzz cda --seconds 60   one of them, shorter

The corpus begins with our own samples and grows under `var/fuzz/` (not in git), where a finding leaves its bytes;
repeat one with `python -m tests.fuzz.one cda FILE`.
"""
