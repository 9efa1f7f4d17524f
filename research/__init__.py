"""An experiment-tracked research report generator.

A study asks one question, trains what it needs, measures, and logs everything to MLflow; a
write-up turns one logged run into a paper. The arrow goes one way:

    config -> data -> models -> train -> measure -> tracking -> figures      research run ae
                                                       |
                                        results -> report -> PDF             research report ae

- `config`, `data`, `models`, `train`: settings, images and sentences in memory, networks, training
- `trained`, `code`: a trained model, found again by the digest of what it follows from
- `activations`, `reconstruction`, `classification`, `embedding`, `distances`, `adversarial`,
  `universal`, `universality`, `chain`, `deconvnet`, `receptive`, `strongest`, `occlusion`,
  `invariance`, `correspondence`, `filters`, `crops`, `seq2seq`, `stats`: one method each, pure
  functions
- `figures`: data -> matplotlib Figure
- `results`: what a run left behind, plain data in plain files
- `tracking`: where runs are kept, MLflow or a folder; `hardware`, `environment` feed it
- `studies`: one file = one question = one write-up
- `launch`: the one impure place, where settings, store, study and drawing meet
- `report`: reads one stored run and never imports torch
"""
