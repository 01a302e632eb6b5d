"""Pages and pictures for people: comparisons of methods, the survey's figures, and user studies.

Each report is made by one function, which is also a command:

- `comparison.compare` (`fastphoto.compare`, `fastphoto compare`): methods side by side on one photo pair.
- `survey.make_survey` (`fastphoto survey`): figures of the literature, made again.
- `study.make_study` and `study_scores.chart_answers` (`fastphoto study`): a blind user study, and its outcome.

All pages but the questionnaire of the study fill a `page.Page`. Import from the modules: `import fastphoto` loads
`comparison` only.
"""
