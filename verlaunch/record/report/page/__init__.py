"""report.html: one self-contained page of a run.

build      the page from a history and its summary
facts      what ran, verdicts, alerts, judge, time, files     settings   what differs from verl
charts     curves, thinned                                    samples    responses worth reading
embed      text that stays text
page.html, page.css, script/*.js   what a browser does with it
"""
