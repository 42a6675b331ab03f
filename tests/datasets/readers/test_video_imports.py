import subprocess
import sys


def test_opening_data_sets_brings_neither_opencv_nor_gpxpy():
    code = (
        "import sys, netvlad.datasets; assert 'video' in netvlad.datasets.DATASETS; "
        "print({'cv2', 'gpxpy'} & set(sys.modules) or 'neither')"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "neither\n"
