"""Learning a field, and what comes after.

`objectives` on `batches` are minimised by `fit` (Lightning) or, for small networks, by `loop`. `rectify` straightens a
trained flow, `distil` makes one step of it, `finetune` changes it by a reward, on `adapters` or all weights.
`checkpoint` stores weights with a model card.
"""
