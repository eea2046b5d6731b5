"""Word problems in the form of GSM8K: each reference in many spellings, and its near misses.

The problems are our own; calculator notes <<6*7=42>> and a last line `#### 42` are GSM8K's form.
"""

import asyncio

import pytest

from rewards.registry import rule_for

PROBLEMS = [
    ("Mia has 3 boxes of 12 pens. How many pens?", "She has 3*12=<<3*12=36>>36 pens.\n#### 36"),
    ("A bus seats 44; 9 seats are free. Riders?", "There are 44-9=<<44-9=35>>35.\n#### 35"),
    ("7 trees bear 150 plums each. Plums?", "7*150=<<7*150=1050>>1050 plums.\n#### 1,050"),
    ("A $20 hat is sold at half price. Price?", "20/2=$<<20/2=10>>10.\n#### 10"),
    ("Ten tickets cost $85. One?", "85/10=$<<85/10=8.5>>8.5\n#### 8.5"),
    ("It was 4 degrees and fell by 9.", "4-9=<<4-9=-5>>-5 degrees.\n#### -5"),
    ("A pie in 8; 6 eaten. Left, in percent?", "2/8=<<2/8*100=25>>25%.\n#### 25"),
    ("Leo runs 3 km on 5 days. Total?", "3*5=<<3*5=15>>15 km.\n#### 15"),
    ("A town of 12,400 grows by 350.", "12400+350=<<12400+350=12750>>12750\n#### 12,750"),
    ("6 cans hold 1.5 l each. Litres?", "6*1.5=<<6*1.5=9>>9 litres.\n#### 9"),
    ("Ann is 8, Bo twice as old. Sum?", "Bo is 16.\n8+16=<<8+16=24>>24\n#### 24"),
    ("A book of 320 pages in 8 days?", "320/8=<<320/8=40>>40 a day.\n#### 40"),
    ("5 hens lay 4 eggs a week. In 6 weeks?", "5*4*6=<<5*4*6=120>>120 eggs.\n#### 120"),
    ("$250 at 4% for one year. Interest?", "250*.04=$<<250*.04=10>>10\n#### 10"),
    ("A rope of 9 m in 0.75 m pieces?", "9/0.75=<<9/0.75=12>>12 pieces.\n#### 12"),
    ("2 million less 1?", "2000000-1=<<2000000-1=1999999>>1999999\n#### 1,999,999"),
    ("Sue had $5 and owes $12. Balance?", "5-12=<<5-12=-7>>-7 dollars.\n#### -7"),
    ("3 dozen eggs, 5 break. Left?", "36-5=<<36-5=31>>31 eggs.\n#### 31"),
    ("A car at 60 km/h for 2.5 h?", "60*2.5=<<60*2.5=150>>150 km.\n#### 150"),
    ("18 marbles shared by 4 as far as it goes. Rest?", "18-16=<<18-16=2>>2 are left.\n#### 2"),
    ("How many zeros has this problem?", "None at all.\n#### 0"),
    ("A pool of 500 l leaks 20 l a day. After 4 days?", "500-80=<<500-80=420>>420\n#### 420"),
    ("Tom earns $14.25 an hour for 4 hours.", "4*14.25=$<<4*14.25=57>>57\n#### 57"),
    ("4 shirts at $12.99?", "4*12.99=$<<4*12.99=51.96>>51.96\n#### 51.96"),
    ("A film of 2 h 15 min. Minutes?", "120+15=<<120+15=135>>135 minutes.\n#### 135"),
    ("Half of a class of 28, and one more?", "28/2+1=<<28/2+1=15>>15\n#### 15"),
    ("9 shelves, 11 books each, 13 lent.", "99-13=<<99-13=86>>86 books.\n#### 86"),
    ("A $900 bike at 15% off?", "900-135=$<<900-135=765>>765\n#### 765"),
    ("Ida saves $3 a day in June.", "3*30=$<<3*30=90>>90\n#### 90"),
    ("One in 4 of 1,000 voters?", "1000/4=<<1000/4=250>>250 voters.\n#### 250"),
    ("A cube with an edge of 3. Volume?", "3*3*3=<<3*3*3=27>>27\n#### 27"),
    ("From 8:50 to 9:25. Minutes?", "10+25=<<10+25=35>>35 minutes.\n#### 35"),
    ("15 cows have how many legs?", "15*4=<<15*4=60>>60 legs.\n#### 60"),
    ("A stack of 6 rows: 1+2+3+4+5+6?", "That is <<1+2+3+4+5+6=21>>21.\n#### 21"),
    ("$1,200 rent for 12 months?", "1200*12=$<<1200*12=14400>>14400\n#### 14,400"),
    ("A third of 81?", "81/3=<<81/3=27>>27\n#### 27"),
    ("3 adults at $7.50, 2 children at $4?", "22.5+8=$<<22.5+8=30.5>>30.5\n#### 30.5"),
    ("Depth of -30 m, then 12 m up?", "-30+12=<<-30+12=-18>>-18 m.\n#### -18"),
    ("How many seconds has a day?", "24*3600=<<24*3600=86400>>86400\n#### 86,400"),
    ("99 bottles, one falls. Left?", "99-1=<<99-1=98>>98 bottles.\n#### 98"),
]
SPELLINGS = [
    "#### {n}",
    "#### {n}.",
    "#### ${n}",
    "#### {c}",
    "#### {z}",
    "#### {n} apples",
    "\\boxed{{{n}}}",
    "$$\\boxed{{{c}\\text{{ dollars}}}}$$",
    "The answer is {n}",
    "The answer is **{n}**.",
    "The final answer is ${n}$.",
    "Answer: {c}",
    "**Answer:** {z}",
    "<answer>{n}</answer>",
    "So x = {n}.",
    "In the end there are {c} of them.",
    "答案是{n}。",
    "{n}",
]


def spelled(number: str, form: str) -> str:
    grouped = f"{int(number):,}" if "." not in number else f"{float(number):,}"
    zeros = f"{number}.0" if "." not in number else f"{number}0"
    return form.format(n=number, c=grouped, z=zeros)


def score(response: str, truth: str) -> float:
    scores = asyncio.run(rule_for("openai/gsm8k")("openai/gsm8k", response, truth))
    return scores["score"]


def number_of(solution: str) -> str:
    return solution.rpartition("#### ")[2].replace(",", "")


@pytest.mark.parametrize("form", SPELLINGS)
def test_every_reference_scores_one_in_every_spelling(form: str) -> None:
    for question, solution in PROBLEMS:
        response = "Let me see: there are 7 or 8 steps.\n" + spelled(number_of(solution), form)
        assert score(response, solution) == 1.0, (question, response)
        assert score(response, number_of(solution)) == 1.0, (question, response)


@pytest.mark.parametrize("form", SPELLINGS)
def test_a_near_miss_scores_zero_in_every_spelling(form: str) -> None:
    for question, solution in PROBLEMS:
        number = number_of(solution)
        for wrong in (f"{number}1", f"-{number}9".replace("--", ""), f"1{number.lstrip('-')}"):
            assert score(spelled(wrong, form), solution) == 0.0, (question, wrong)


def test_a_solution_is_the_answer_to_itself_and_to_no_other_problem() -> None:
    for _, ours in PROBLEMS:
        for _, theirs in PROBLEMS:
            same = float(number_of(ours)) == float(number_of(theirs))
            assert score(ours, theirs) == float(same)
