"""The bucket's constants from Remaining headers: what an Estimate rests on.

In reading order: `touches` is what the bucket saw of each call, `timeline` these as arrays, and replayed; `guesses` where a fit begins,
`regression` one fit from each guess, `identify` the best of all with its errors; `distance` how far away the server is.
"""
