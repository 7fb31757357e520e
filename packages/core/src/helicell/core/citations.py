"""What to cite: the papers behind the parts, as BibTeX.

Parts name their papers by keys, in an attribute `citations`. `cite` looks through whatever it is given, also inside of
modules, settings and sequences, and prints each paper once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TextIO, TypeVar

from helicell.core.errors import InputError, unknown_option

Function = TypeVar("Function", bound=Callable[..., Any])

# Fields of each entry: its kind, then what BibTeX calls them.
_PAPERS: dict[str, tuple[str, dict[str, str]]] = {
    "albergo2023building": (
        "inproceedings",
        {
            "title": "Building Normalizing Flows with Stochastic Interpolants",
            "author": "Albergo, Michael S. and Vanden-Eijnden, Eric",
            "booktitle": "International Conference on Learning Representations",
            "year": "2023",
            "eprint": "2209.15571",
        },
    ),
    "albergo2023stochastic": (
        "article",
        {
            "title": "Stochastic Interpolants: A Unifying Framework for Flows and Diffusions",
            "author": "Albergo, Michael S. and Boffi, Nicholas M. and Vanden-Eijnden, Eric",
            "journal": "arXiv preprint",
            "year": "2023",
            "eprint": "2303.08797",
        },
    ),
    "atanackovic2024meta": (
        "article",
        {
            "title": "Meta Flow Matching: Integrating Vector Fields on the Wasserstein Manifold",
            "author": "Atanackovic, Lazar and Zhang, Xi and Amos, Brandon and Blanchette, Mathieu and Lee, Leo J. and "
            "Bengio, Yoshua and Tong, Alexander and Neklyudov, Kirill",
            "journal": "arXiv preprint",
            "year": "2024",
            "eprint": "2408.14608",
        },
    ),
    "bengio2021flow": (
        "inproceedings",
        {
            "title": "Flow Network based Generative Models for Non-Iterative Diverse Candidate Generation",
            "author": "Bengio, Emmanuel and Jain, Moksh and Korablyov, Maksym and Precup, Doina and Bengio, Yoshua",
            "booktitle": "Advances in Neural Information Processing Systems",
            "year": "2021",
            "eprint": "2106.04399",
        },
    ),
    "bengio2023foundations": (
        "article",
        {
            "title": "{GFlowNet} Foundations",
            "author": "Bengio, Yoshua and Lahlou, Salem and Deleu, Tristan and Hu, Edward J. and Tiwari, Mo and "
            "Bengio, Emmanuel",
            "journal": "Journal of Machine Learning Research",
            "year": "2023",
            "eprint": "2111.09266",
        },
    ),
    "berner2024optimal": (
        "article",
        {
            "title": "An Optimal Control Perspective on Diffusion-Based Generative Modeling",
            "author": "Berner, Julius and Richter, Lorenz and Ullrich, Karen",
            "journal": "Transactions on Machine Learning Research",
            "year": "2024",
            "eprint": "2211.01364",
        },
    ),
    "berner2025discrete": (
        "article",
        {
            "title": "From Discrete-Time Policies to Continuous-Time Diffusion Samplers",
            "author": "Berner, Julius and Richter, Lorenz and Sendera, Marcin and Rector-Brooks, Jarrid and "
            "Malkin, Nikolay",
            "journal": "arXiv preprint",
            "year": "2025",
            "eprint": "2501.06148",
        },
    ),
    "bunne2023learning": (
        "article",
        {
            "title": "Learning Single-Cell Perturbation Responses Using Neural Optimal Transport",
            "author": "Bunne, Charlotte and Stark, Stefan G. and Gut, Gabriele and del Castillo, Jacobo Sarabia and "
            'Levesque, Mitch and Lehmann, Kjong-Van and Pelkmans, Lucas and Krause, Andreas and R{\\"a}tsch, Gunnar',
            "journal": "Nature Methods",
            "volume": "20",
            "pages": "1759--1768",
            "year": "2023",
        },
    ),
    "castillo2023adaptive": (
        "article",
        {
            "title": "Adaptive Guidance: Training-free Acceleration of Conditional Diffusion Models",
            "author": "Castillo, Angela and Kohler, Jonas and P{\\'e}rez, Juan C. and P{\\'e}rez, Juan Pablo and "
            "Pumarola, Albert and Ghanem, Bernard and Arbel{\\'a}ez, Pablo and Thabet, Ali",
            "journal": "arXiv preprint",
            "year": "2023",
            "eprint": "2312.12487",
        },
    ),
    "chapel2020partial": (
        "inproceedings",
        {
            "title": "Partial Optimal Transport with Applications on Positive-Unlabeled Learning",
            "author": "Chapel, Laetitia and Alaya, Mokhtar Z. and Gasso, Gilles",
            "booktitle": "Advances in Neural Information Processing Systems",
            "year": "2020",
            "eprint": "2002.08276",
        },
    ),
    "chen2024flow": (
        "inproceedings",
        {
            "title": "Flow Matching on General Geometries",
            "author": "Chen, Ricky T. Q. and Lipman, Yaron",
            "booktitle": "International Conference on Learning Representations",
            "year": "2024",
            "eprint": "2302.03660",
        },
    ),
    "cheng2025curse": (
        "article",
        {
            "title": "The Curse of Conditions: Analyzing and Improving Optimal Transport for Conditional Flow-Based "
            "Generation",
            "author": "Cheng, Ho Kei and Schwing, Alexander",
            "journal": "arXiv preprint",
            "year": "2025",
            "eprint": "2503.10636",
        },
    ),
    "chizat2018scaling": (
        "article",
        {
            "title": "Scaling Algorithms for Unbalanced Optimal Transport Problems",
            "author": "Chizat, Lena{\\\"i}c and Peyr{\\'e}, Gabriel and Schmitzer, Bernhard and Vialard, "
            "Fran{\\c{c}}ois-Xavier",
            "journal": "Mathematics of Computation",
            "volume": "87",
            "pages": "2563--2609",
            "year": "2018",
            "eprint": "1607.05816",
        },
    ),
    "chung2023diffusion": (
        "inproceedings",
        {
            "title": "Diffusion Posterior Sampling for General Noisy Inverse Problems",
            "author": "Chung, Hyungjin and Kim, Jeongsol and McCann, Michael T. and Klasky, Marc L. and Ye, Jong Chul",
            "booktitle": "International Conference on Learning Representations",
            "year": "2023",
            "eprint": "2209.14687",
        },
    ),
    "clark2024directly": (
        "inproceedings",
        {
            "title": "Directly Fine-Tuning Diffusion Models on Differentiable Rewards",
            "author": "Clark, Kevin and Vicol, Paul and Swersky, Kevin and Fleet, David J.",
            "booktitle": "International Conference on Learning Representations",
            "year": "2024",
            "eprint": "2309.17400",
        },
    ),
    "cuturi2013sinkhorn": (
        "inproceedings",
        {
            "title": "Sinkhorn Distances: Lightspeed Computation of Optimal Transport",
            "author": "Cuturi, Marco",
            "booktitle": "Advances in Neural Information Processing Systems",
            "year": "2013",
            "eprint": "1306.0895",
        },
    ),
    "delmoral2006sequential": (
        "article",
        {
            "title": "Sequential {Monte Carlo} Samplers",
            "author": "Del Moral, Pierre and Doucet, Arnaud and Jasra, Ajay",
            "journal": "Journal of the Royal Statistical Society: Series B",
            "volume": "68",
            "number": "3",
            "pages": "411--436",
            "year": "2006",
        },
    ),
    "dettmers2022bit": (
        "inproceedings",
        {
            "title": "8-bit Optimizers via Block-wise Quantization",
            "author": "Dettmers, Tim and Lewis, Mike and Shleifer, Sam and Zettlemoyer, Luke",
            "booktitle": "International Conference on Learning Representations",
            "year": "2022",
            "eprint": "2110.02861",
        },
    ),
    "dormand1980family": (
        "article",
        {
            "title": "A Family of Embedded Runge-Kutta Formulae",
            "author": "Dormand, John R. and Prince, Peter J.",
            "journal": "Journal of Computational and Applied Mathematics",
            "volume": "6",
            "pages": "19--26",
            "year": "1980",
        },
    ),
    "esser2024scaling": (
        "inproceedings",
        {
            "title": "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis",
            "author": "Esser, Patrick and Kulal, Sumith and Blattmann, Andreas and Entezari, Rahim and others",
            "booktitle": "International Conference on Machine Learning",
            "year": "2024",
            "eprint": "2403.03206",
        },
    ),
    "feydy2019interpolating": (
        "inproceedings",
        {
            "title": "Interpolating between Optimal Transport and {MMD} using {Sinkhorn} Divergences",
            "author": "Feydy, Jean and S{\\'e}journ{\\'e}, Thibault and Vialard, Fran{\\c{c}}ois-Xavier and Amari, "
            "Shun-ichi and Trouv{\\'e}, Alain and Peyr{\\'e}, Gabriel",
            "booktitle": "International Conference on Artificial Intelligence and Statistics",
            "year": "2019",
            "eprint": "1810.08278",
        },
    ),
    "flamary2021pot": (
        "article",
        {
            "title": "{POT}: Python Optimal Transport",
            "author": "Flamary, R{\\'e}mi and Courty, Nicolas and Gramfort, Alexandre and Alaya, Mokhtar Z. and "
            "Boisbunon, Aur{\\'e}lie and others",
            "journal": "Journal of Machine Learning Research",
            "volume": "22",
            "number": "78",
            "pages": "1--8",
            "year": "2021",
        },
    ),
    "grathwohl2019ffjord": (
        "inproceedings",
        {
            "title": "{FFJORD}: Free-Form Continuous Dynamics for Scalable Reversible Generative Models",
            "author": "Grathwohl, Will and Chen, Ricky T. Q. and Bettencourt, Jesse and Sutskever, Ilya and Duvenaud, "
            "David",
            "booktitle": "International Conference on Learning Representations",
            "year": "2019",
            "eprint": "1810.01367",
        },
    ),
    "gretton2012kernel": (
        "article",
        {
            "title": "A Kernel Two-Sample Test",
            "author": 'Gretton, Arthur and Borgwardt, Karsten M. and Rasch, Malte J. and Sch{\\"o}lkopf, Bernhard and '
            "Smola, Alexander",
            "journal": "Journal of Machine Learning Research",
            "volume": "13",
            "number": "25",
            "pages": "723--773",
            "year": "2012",
        },
    ),
    "ho2022classifier": (
        "article",
        {
            "title": "Classifier-Free Diffusion Guidance",
            "author": "Ho, Jonathan and Salimans, Tim",
            "journal": "arXiv preprint",
            "year": "2022",
            "eprint": "2207.12598",
        },
    ),
    "hu2022lora": (
        "inproceedings",
        {
            "title": "{LoRA}: Low-Rank Adaptation of Large Language Models",
            "author": "Hu, Edward J. and Shen, Yelong and Wallis, Phillip and Allen-Zhu, Zeyuan and Li, Yuanzhi and "
            "Wang, Shean and Wang, Lu and Chen, Weizhu",
            "booktitle": "International Conference on Learning Representations",
            "year": "2022",
            "eprint": "2106.09685",
        },
    ),
    "karras2022elucidating": (
        "inproceedings",
        {
            "title": "Elucidating the Design Space of Diffusion-Based Generative Models",
            "author": "Karras, Tero and Aittala, Miika and Aila, Timo and Laine, Samuli",
            "booktitle": "Advances in Neural Information Processing Systems",
            "year": "2022",
            "eprint": "2206.00364",
        },
    ),
    "kochurov2020geoopt": (
        "article",
        {
            "title": "Geoopt: Riemannian Optimization in {PyTorch}",
            "author": "Kochurov, Max and Karimov, Rasul and Kozlukov, Serge",
            "journal": "arXiv preprint",
            "year": "2020",
            "eprint": "2005.02819",
        },
    ),
    "lee2024improving": (
        "inproceedings",
        {
            "title": "Improving the Training of Rectified Flows",
            "author": "Lee, Sangyun and Lin, Zinan and Fanti, Giulia",
            "booktitle": "Advances in Neural Information Processing Systems",
            "year": "2024",
            "eprint": "2405.20320",
        },
    ),
    "lipman2023flow": (
        "inproceedings",
        {
            "title": "Flow Matching for Generative Modeling",
            "author": "Lipman, Yaron and Chen, Ricky T. Q. and Ben-Hamu, Heli and Nickel, Maximilian and Le, Matt",
            "booktitle": "International Conference on Learning Representations",
            "year": "2023",
            "eprint": "2210.02747",
        },
    ),
    "liu2023flow": (
        "inproceedings",
        {
            "title": "Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow",
            "author": "Liu, Xingchao and Gong, Chengyue and Liu, Qiang",
            "booktitle": "International Conference on Learning Representations",
            "year": "2023",
            "eprint": "2209.03003",
        },
    ),
    "madan2023learning": (
        "inproceedings",
        {
            "title": "Learning {GFlowNets} from Partial Episodes for Improved Convergence and Stability",
            "author": "Madan, Kanika and Rector-Brooks, Jarrid and Korablyov, Maksym and Bengio, Emmanuel and "
            "Jain, Moksh and Nica, Andrei Cristian and Bosc, Tom and Bengio, Yoshua and Malkin, Nikolay",
            "booktitle": "International Conference on Machine Learning",
            "year": "2023",
            "eprint": "2209.12782",
        },
    ),
    "malkin2022trajectory": (
        "inproceedings",
        {
            "title": "Trajectory Balance: Improved Credit Assignment in {GFlowNets}",
            "author": "Malkin, Nikolay and Jain, Moksh and Bengio, Emmanuel and Sun, Chen and Bengio, Yoshua",
            "booktitle": "Advances in Neural Information Processing Systems",
            "year": "2022",
            "eprint": "2201.13259",
        },
    ),
    "mcinnes2018umap": (
        "article",
        {
            "title": "UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction",
            "author": "McInnes, Leland and Healy, John and Melville, James",
            "journal": "arXiv preprint",
            "year": "2018",
            "eprint": "1802.03426",
        },
    ),
    "munthekaas1999high": (
        "article",
        {
            "title": "High Order {Runge-Kutta} Methods on Manifolds",
            "author": "Munthe-Kaas, Hans",
            "journal": "Applied Numerical Mathematics",
            "volume": "29",
            "pages": "115--127",
            "year": "1999",
        },
    ),
    "neal2001annealed": (
        "article",
        {
            "title": "Annealed Importance Sampling",
            "author": "Neal, Radford M.",
            "journal": "Statistics and Computing",
            "volume": "11",
            "pages": "125--139",
            "year": "2001",
        },
    ),
    "nguyen2024sliced": (
        "inproceedings",
        {
            "title": "Sliced {Wasserstein} Estimation with Control Variates",
            "author": "Nguyen, Khai and Ho, Nhat",
            "booktitle": "International Conference on Learning Representations",
            "year": "2024",
            "eprint": "2305.00402",
        },
    ),
    "owen2007pigeonhole": (
        "article",
        {
            "title": "The Pigeonhole Bootstrap",
            "author": "Owen, Art B.",
            "journal": "Annals of Applied Statistics",
            "volume": "1",
            "pages": "386--411",
            "year": "2007",
        },
    ),
    "pan2023better": (
        "inproceedings",
        {
            "title": "Better Training of {GFlowNets} with Local Credit and Incomplete Trajectories",
            "author": "Pan, Ling and Malkin, Nikolay and Zhang, Dinghuai and Bengio, Yoshua",
            "booktitle": "International Conference on Machine Learning",
            "year": "2023",
            "eprint": "2302.01687",
        },
    ),
    "prabhudesai2023aligning": (
        "article",
        {
            "title": "Aligning Text-to-Image Diffusion Models with Reward Backpropagation",
            "author": "Prabhudesai, Mihir and Goyal, Anirudh and Pathak, Deepak and Fragkiadaki, Katerina",
            "journal": "arXiv preprint",
            "year": "2023",
            "eprint": "2310.03739",
        },
    ),
    "richter2020vargrad": (
        "inproceedings",
        {
            "title": "{VarGrad}: A Low-Variance Gradient Estimator for Variational Inference",
            "author": 'Richter, Lorenz and Boustati, Ayman and N{\\"u}sken, Nikolas and Ruiz, Francisco and '
            'Akyildiz, {\\"O}mer Deniz',
            "booktitle": "Advances in Neural Information Processing Systems",
            "year": "2020",
            "eprint": "2010.10436",
        },
    ),
    "sadat2025eliminating": (
        "inproceedings",
        {
            "title": "Eliminating Oversaturation and Artifacts of High Guidance Scales in Diffusion Models",
            "author": "Sadat, Seyedmorteza and Hilliges, Otmar and Weber, Romann M.",
            "booktitle": "International Conference on Learning Representations",
            "year": "2025",
            "eprint": "2410.02416",
        },
    ),
    "sendera2024improved": (
        "inproceedings",
        {
            "title": "Improved Off-Policy Training of Diffusion Samplers",
            "author": "Sendera, Marcin and Kim, Minsu and Mittal, Sarthak and Lemos, Pablo and others",
            "booktitle": "Advances in Neural Information Processing Systems",
            "year": "2024",
            "eprint": "2402.05098",
        },
    ),
    "shaul2023kinetic": (
        "inproceedings",
        {
            "title": "On Kinetic Optimal Probability Paths for Generative Models",
            "author": "Shaul, Neta and Chen, Ricky T. Q. and Nickel, Maximilian and Le, Matthew and Lipman, Yaron",
            "booktitle": "International Conference on Machine Learning",
            "year": "2023",
            "eprint": "2306.06626",
        },
    ),
    "song2021score": (
        "inproceedings",
        {
            "title": "Score-Based Generative Modeling through Stochastic Differential Equations",
            "author": "Song, Yang and Sohl-Dickstein, Jascha and Kingma, Diederik P. and Kumar, Abhishek and Ermon, "
            "Stefano and Poole, Ben",
            "booktitle": "International Conference on Learning Representations",
            "year": "2021",
            "eprint": "2011.13456",
        },
    ),
    "szekely2013energy": (
        "article",
        {
            "title": "Energy statistics: A class of statistics based on distances",
            "author": "Sz{\\'e}kely, G{\\'a}bor J. and Rizzo, Maria L.",
            "journal": "Journal of Statistical Planning and Inference",
            "volume": "143",
            "number": "8",
            "pages": "1249--1272",
            "year": "2013",
        },
    ),
    "tong2024improving": (
        "article",
        {
            "title": "Improving and generalizing flow-based generative models with minibatch optimal transport",
            "author": "Tong, Alexander and Fatras, Kilian and Malkin, Nikolay and Huguet, Guillaume and Zhang, Yanlei "
            "and Rector-Brooks, Jarrid and Wolf, Guy and Bengio, Yoshua",
            "journal": "Transactions on Machine Learning Research",
            "year": "2024",
            "eprint": "2302.00482",
        },
    ),
    "tripp2020sample": (
        "inproceedings",
        {
            "title": "Sample-Efficient Optimization in the Latent Space of Deep Generative Models",
            "author": "Tripp, Austin and Daxberger, Erik and Hern{\\'a}ndez-Lobato, Jos{\\'e} Miguel",
            "booktitle": "Advances in Neural Information Processing Systems",
            "year": "2020",
            "eprint": "2006.09191",
        },
    ),
    "vargas2023denoising": (
        "inproceedings",
        {
            "title": "Denoising Diffusion Samplers",
            "author": "Vargas, Francisco and Grathwohl, Will and Doucet, Arnaud",
            "booktitle": "International Conference on Learning Representations",
            "year": "2023",
            "eprint": "2302.13834",
        },
    ),
    "yim2023fast": (
        "article",
        {
            "title": "Fast Protein Backbone Generation with {SE}(3) Flow Matching",
            "author": "Yim, Jason and Campbell, Andrew and Foong, Andrew Y. K. and Gastegger, Michael and "
            "Jim{\\'e}nez-Luna, Jos{\\'e} and Lewis, Sarah and Satorras, Victor Garcia and Veeling, Bastiaan S. and "
            "Barzilay, Regina and Jaakkola, Tommi and No{\\'e}, Frank",
            "journal": "arXiv preprint",
            "year": "2023",
            "eprint": "2310.05297",
        },
    ),
    "yim2023se3": (
        "inproceedings",
        {
            "title": "{SE}(3) Diffusion Model with Application to Protein Backbone Generation",
            "author": "Yim, Jason and Trippe, Brian L. and De Bortoli, Valentin and Mathieu, Emile and "
            "Doucet, Arnaud and Barzilay, Regina and Jaakkola, Tommi",
            "booktitle": "International Conference on Machine Learning",
            "year": "2023",
            "eprint": "2302.02277",
        },
    ),
    "yue2025reqflow": (
        "inproceedings",
        {
            "title": "{ReQFlow}: Rectified Quaternion Flow for Efficient and High-Quality Protein Backbone Generation",
            "author": "Yue, Angxiao and Wang, Zichong and Xu, Hongteng",
            "booktitle": "International Conference on Machine Learning",
            "year": "2025",
            "eprint": "2502.14637",
        },
    ),
    "zhang2022path": (
        "inproceedings",
        {
            "title": "Path Integral Sampler: A Stochastic Control Approach for Sampling",
            "author": "Zhang, Qinsheng and Chen, Yongxin",
            "booktitle": "International Conference on Learning Representations",
            "year": "2022",
            "eprint": "2111.15141",
        },
    ),
    "zhang2023robust": (
        "inproceedings",
        {
            "title": "Robust Scheduling with {GFlowNets}",
            "author": "Zhang, David W. and Rainone, Corrado and Peschl, Markus and Bondesan, Roberto",
            "booktitle": "International Conference on Learning Representations",
            "year": "2023",
            "eprint": "2302.05446",
        },
    ),
}


def bibtex(key: str) -> str:
    """Return the BibTeX entry of one paper.

    Raises
    ------
    InputError
        If there is no such key.
    """
    if key not in _PAPERS:
        raise unknown_option("citation", key, _PAPERS)
    kind, fields = _PAPERS[key]
    if "eprint" in fields:
        fields = {**fields, "archiveprefix": "arXiv"}
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def cite(*used: object, file: TextIO | None = None) -> None:
    """Print the BibTeX of what was used.

    Parameters
    ----------
    *used
        Paths, couplings, objectives, functions, modules that hold such things, or keys of papers.
    file
        Where to print; the standard output unless given.

    Raises
    ------
    InputError
        If a key is not known, or nothing that was given names a paper.

    Examples
    --------
    >>> from helicell.core.paths import UShapedTimes
    >>> cite(UShapedTimes())
    @inproceedings{lee2024improving,
      title = {Improving the Training of Rectified Flows},
      author = {Lee, Sangyun and Lin, Zinan and Fanti, Giulia},
      booktitle = {Advances in Neural Information Processing Systems},
      year = {2024},
      eprint = {2405.20320},
      archiveprefix = {arXiv},
    }
    """
    keys = sorted(set(citation_keys(*used)))
    if not keys:
        message = f"nothing that was given names a paper; known papers: {', '.join(_PAPERS)}"
        raise InputError(message)
    (file or sys.stdout).write("\n\n".join(bibtex(key) for key in keys) + "\n")


def citation_keys(*used: object) -> Iterator[str]:
    """Yield the keys of the papers that objects and what they hold name."""
    seen: set[int] = set()
    waiting = list(used)
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, str):
            if one in used:
                yield one
            continue
        yield from getattr(one, "citations", ())
        waiting.extend(_held(one))


def cited(*keys: str) -> Callable[[Function], Function]:
    """Return a decorator that gives a function the keys of its papers."""

    def decorate(function: Function) -> Function:
        function.citations = keys  # type: ignore[attr-defined]
        return function

    return decorate


def _held(one: object) -> Iterable[object]:
    """Return what an object of ours, a torch module or a collection holds."""
    if isinstance(one, Mapping):
        return one.values()
    if isinstance(one, list | tuple):
        return one
    ours = type(one).__module__.startswith("helicell.")
    if not ours and not hasattr(one, "named_modules"):
        return ()
    slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
    held = [getattr(one, name) for name in slots if hasattr(one, name)]
    return [*held, *getattr(one, "__dict__", {}).values()]
